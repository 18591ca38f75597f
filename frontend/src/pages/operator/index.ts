// The pages of the console, which are loaded together when an operator opens one.

export { default as Audit } from "./Audit.vue";
export { default as Findings } from "./Findings.vue";
export { default as FleetQuery } from "./FleetQuery.vue";
export { default as Migration } from "./Migration.vue";
export { default as Operation } from "./Operation.vue";
export { default as OperatorFrame } from "./OperatorFrame.vue";
export { default as Operations } from "./Operations.vue";
export { default as Servers } from "./Servers.vue";
export { default as Slowest } from "./Slowest.vue";
export { default as Tenant } from "./Tenant.vue";
export { default as Tenants } from "./Tenants.vue";
export { default as Usage } from "./Usage.vue";
