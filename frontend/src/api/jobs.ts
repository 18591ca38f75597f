// The calls about the jobs of a tenant.

import type {
  GetTenantJobsData,
  Job,
  JobPage,
  PostTenantJobCancelData,
  PostTenantJobRetryData,
} from "../../generated/api/types.gen";
import { call } from "./http";

const JOBS: GetTenantJobsData["url"] = "/api/v1/tenant/jobs";
const RETRY: PostTenantJobRetryData["url"] = "/api/v1/tenant/jobs/{id}/retry";
const CANCEL: PostTenantJobCancelData["url"] = "/api/v1/tenant/jobs/{id}/cancel";

/** The jobs of a tenant, the newest first, in a state or in all. */
export async function readJobs(tenant: string, state: string, cursor: string, signal: AbortSignal): Promise<JobPage> {
  const query = new URLSearchParams({ ...(state && { state }), ...(cursor && { cursor }) });
  return (await call<JobPage>("GET", `${JOBS}?${query}`, { tenant, signal })).data;
}

export async function retryJob(tenant: string, id: string): Promise<Job> {
  return (await call<Job>("POST", RETRY.replace("{id}", id), { tenant })).data;
}

export async function cancelJob(tenant: string, id: string): Promise<Job> {
  return (await call<Job>("POST", CANCEL.replace("{id}", id), { tenant })).data;
}
