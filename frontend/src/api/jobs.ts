// The calls about the jobs of a tenant: of its administrators, and of operators.

import type {
  GetFleetTenantJobsData,
  GetTenantJobsData,
  Job,
  JobPage,
  PostFleetTenantJobCancelData,
  PostFleetTenantJobRetryData,
  PostTenantJobCancelData,
  PostTenantJobRetryData,
} from "../../generated/api/types.gen";
import { addressWith, call } from "./http";

const OWN: GetTenantJobsData["url"] = "/api/v1/tenant/jobs";
const RETRY_OWN: PostTenantJobRetryData["url"] = "/api/v1/tenant/jobs/{id}/retry";
const CANCEL_OWN: PostTenantJobCancelData["url"] = "/api/v1/tenant/jobs/{id}/cancel";
const OF_TENANT: GetFleetTenantJobsData["url"] = "/api/v1/fleet/tenants/{slug}/jobs";
const RETRY: PostFleetTenantJobRetryData["url"] = "/api/v1/fleet/tenants/{slug}/jobs/{id}/retry";
const CANCEL: PostFleetTenantJobCancelData["url"] = "/api/v1/fleet/tenants/{slug}/jobs/{id}/cancel";

export interface JobCalls {
  /** The jobs, the newest first, in a state or in all. */
  read: (state: string, cursor: string, signal: AbortSignal) => Promise<JobPage>;
  retry: (id: string) => Promise<Job>;
  cancel: (id: string) => Promise<Job>;
}

/** Those of the administrators of a tenant. */
export function ownJobs(tenant: string): JobCalls {
  return callsOf(OWN, RETRY_OWN, CANCEL_OWN, tenant);
}

/** Those of operators, who need no role in the tenant. */
export function jobsOf(slug: string): JobCalls {
  const fill = (path: string): string => path.replace("{slug}", encodeURIComponent(slug));
  return callsOf(fill(OF_TENANT), fill(RETRY), fill(CANCEL), undefined);
}

function callsOf(list: string, retry: string, cancel: string, tenant: string | undefined): JobCalls {
  const send = async (path: string, id: string): Promise<Job> => (await call<Job>("POST", path.replace("{id}", id), { tenant })).data;
  return {
    read: async (state, cursor, signal) =>
      (await call<JobPage>("GET", addressWith(list, { state, cursor }), { tenant, signal })).data,
    retry: (id) => send(retry, id),
    cancel: (id) => send(cancel, id),
  };
}
