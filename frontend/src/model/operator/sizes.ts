// The sizes of the tenants that a page shows. Their servers are asked one by one, after the page is there.

import { onBeforeUnmount, type Ref, shallowRef, type ShallowRef, watch } from "vue";

import { type FleetTenant, type PageOf, readSize } from "../../api/fleet";
import { isFailure } from "../../api/problem";

const AT_ONCE = 3; // calls

/** By the id of a tenant: bytes, or null if they cannot be had. */
export type Sizes = ReadonlyMap<string, number | null>;

export function useSizes(page: Ref<PageOf<FleetTenant> | undefined>): ShallowRef<Sizes> {
  const sizes = shallowRef<Sizes>(new Map());
  let present = 0;

  async function read(tenants: FleetTenant[], turn: number): Promise<void> {
    for (let next = tenants.shift(); next && turn === present; next = tenants.shift()) {
      const size = await sizeOf(next.slug);
      sizes.value = new Map(sizes.value).set(next.id, size);
    }
  }

  watch(
    page,
    (now) => {
      present += 1;
      const waiting = (now?.items ?? []).filter((each) => each.state !== "creating" && !sizes.value.has(each.id));
      for (let each = 0; each < AT_ONCE; each += 1) void read(waiting, present);
    },
    { immediate: true },
  );
  onBeforeUnmount(() => (present += 1));
  return sizes;
}

/** A server that does not answer must not take the list away. */
async function sizeOf(slug: string): Promise<number | null> {
  try {
    return await readSize(slug);
  } catch (error) {
    if (isFailure(error)) return null;
    throw error;
  }
}
