// The call that tells the names of people.

import type { GetPeopleData, NamedPerson, NamedPersonPage } from "../../generated/api/types.gen";
import { call } from "./http";

const PEOPLE: GetPeopleData["url"] = "/api/v1/people";
const MOST = 100;

/** The names of people who belong or belonged to a tenant. Other ids are left out. */
export async function readPeople(tenant: string, ids: readonly string[]): Promise<NamedPerson[]> {
  const found: NamedPerson[] = [];
  for (let start = 0; start < ids.length; start += MOST) {
    const query = new URLSearchParams({ ids: ids.slice(start, start + MOST).join(",") });
    found.push(...(await call<NamedPersonPage>("GET", `${PEOPLE}?${query}`, { tenant })).data.items);
  }
  return found;
}
