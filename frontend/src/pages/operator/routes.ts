// The addresses of the console.

import type { RouteRecordRaw } from "vue-router";

import { withTexts } from "../../strings/late";

type Pages = typeof import(".");

const pages = withTexts(() => import("."), () => import("../../strings/operator"));
const page = (name: keyof Pages) => async () => (await pages())[name];
const jobs = withTexts(() => import("./TenantJobs.vue"), () => import("../../strings/managing"));

export const OPERATOR: RouteRecordRaw = {
  path: "/operator",
  component: page("OperatorFrame"),
  children: [
    { path: "", name: "operator", redirect: { name: "operator-tenants" } },
    { path: "tenants", name: "operator-tenants", component: page("Tenants") },
    { path: "tenants/:slug", name: "operator-tenant", component: page("Tenant"), props: true },
    { path: "tenants/:slug/jobs", name: "operator-jobs", component: jobs, props: true },
    { path: "operations", name: "operator-operations", component: page("Operations") },
    { path: "operations/:id", name: "operator-operation", component: page("Operation"), props: true },
    { path: "migration", name: "operator-migration", component: page("Migration") },
    { path: "usage", name: "operator-usage", component: page("Usage") },
    { path: "slowest", name: "operator-slowest", component: page("Slowest") },
    { path: "servers", name: "operator-servers", component: page("Servers") },
    { path: "findings", name: "operator-findings", component: page("Findings") },
    { path: "query", name: "operator-query", component: page("FleetQuery") },
    { path: "audit", name: "operator-audit", component: page("Audit") },
  ],
};
