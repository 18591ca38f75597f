// The calls about the webhooks of a tenant, and about what was delivered to them.

import type {
  Delivery,
  DeliveryPage,
  GetWebhookData,
  GetWebhookDeliveriesData,
  GetWebhooksData,
  PostWebhookDeliveryReplayData,
  PostWebhookSecretData,
  Webhook,
  WebhookContent,
  WebhookContentPatch,
  WebhookPage,
  WebhookWithSecret,
} from "../../generated/api/types.gen";
import { addressWith, call } from "./http";

const WEBHOOKS: GetWebhooksData["url"] = "/api/v1/webhooks";
const WEBHOOK: GetWebhookData["url"] = "/api/v1/webhooks/{id}";
const SECRET: PostWebhookSecretData["url"] = "/api/v1/webhooks/{id}/secret";
const DELIVERIES: GetWebhookDeliveriesData["url"] = "/api/v1/webhooks/{id}/deliveries";
const REPLAY: PostWebhookDeliveryReplayData["url"] = "/api/v1/webhook-deliveries/{id}/replay";

/** Put an id, which may be from the address of the page, into its place. */
function fill(address: string, id: string): string {
  return address.replace("{id}", /^\.{1,2}$/.test(id) ? "-" : encodeURIComponent(id));
}

export async function readWebhooks(tenant: string, cursor: string, signal: AbortSignal): Promise<WebhookPage> {
  return (await call<WebhookPage>("GET", addressWith(WEBHOOKS, { cursor }), { tenant, signal })).data;
}

export async function readWebhook(tenant: string, id: string): Promise<Webhook> {
  return (await call<Webhook>("GET", fill(WEBHOOK, id), { tenant })).data;
}

/** Add a webhook. The same key sends the same change again, and it is made once. */
export async function addWebhook(tenant: string, content: WebhookContent, key: string): Promise<WebhookWithSecret> {
  const headers = { "Idempotency-Key": key };
  return (await call<WebhookWithSecret>("POST", WEBHOOKS, { tenant, body: { ...content }, headers })).data;
}

export async function changeWebhook(tenant: string, id: string, content: WebhookContentPatch): Promise<Webhook> {
  return (await call<Webhook>("PATCH", fill(WEBHOOK, id), { tenant, body: { ...content } })).data;
}

export async function deleteWebhook(tenant: string, id: string): Promise<void> {
  await call("DELETE", fill(WEBHOOK, id), { tenant });
}

/** Give a webhook another secret, and return it. */
export async function renewSecret(tenant: string, id: string): Promise<string> {
  return (await call<WebhookWithSecret>("POST", fill(SECRET, id), { tenant })).data.secret;
}

/** The deliveries of a webhook, the newest first, in a state or in all. */
export async function readDeliveries(
  tenant: string,
  id: string,
  state: string,
  cursor: string,
  signal: AbortSignal,
): Promise<DeliveryPage> {
  const path = addressWith(fill(DELIVERIES, id), { state, cursor });
  return (await call<DeliveryPage>("GET", path, { tenant, signal })).data;
}

/** Let a message be sent again. The same key asks for the same again, and it is done once. */
export async function replayDelivery(tenant: string, id: string, key: string): Promise<Delivery> {
  return (await call<Delivery>("POST", fill(REPLAY, id), { tenant, headers: { "Idempotency-Key": key } })).data;
}
