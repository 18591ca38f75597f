import { createRouter, createWebHistory } from "vue-router";

import "./model/link"; // before the router reads the address
import NotFound from "./pages/NotFound.vue";
import ResourceList from "./pages/ResourceList.vue";
import WorkspaceFrame from "./pages/WorkspaceFrame.vue";
import WorkspaceStart from "./pages/WorkspaceStart.vue";
import Workspaces from "./pages/Workspaces.vue";
import { OPERATOR } from "./pages/operator/routes";
import { entrancePage } from "./parts/late";
import { withTexts } from "./strings/late";

export const NEW = "new";

const account = withTexts(() => import("./pages/Account.vue"), () => import("./strings/account"));
const managing = <T>(part: () => Promise<T>) => withTexts(part, () => import("./strings/managing"));

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: "/", name: "home", component: Workspaces },
    { path: "/account", name: "account", component: account },
    { path: "/links/:purpose", component: entrancePage("LinkPage"), props: true, meta: { open: true } },
    {
      path: "/w/:slug",
      component: WorkspaceFrame,
      props: true,
      children: [
        { path: "", name: "workspace", component: WorkspaceStart },
        { path: "manage/members", name: "members", component: managing(() => import("./pages/tenant/Members.vue")) },
        { path: "manage/access", name: "access", component: managing(() => import("./pages/tenant/ApiAccess.vue")) },
        { path: "manage/security", name: "security", component: managing(() => import("./pages/tenant/Security.vue")) },
        {
          path: "manage/webhooks/:webhook?",
          name: "webhooks",
          component: managing(() => import("./pages/tenant/Webhooks.vue")),
          props: true,
        },
        { path: "manage/jobs", name: "jobs", component: managing(() => import("./pages/tenant/Jobs.vue")) },
        { path: "manage/export", name: "exports", component: managing(() => import("./pages/tenant/Exports.vue")) },
        { path: "manage/audit", name: "audit", component: managing(() => import("./pages/tenant/AuditTrail.vue")) },
        { path: ":resource/:id?", name: "rows", component: ResourceList, props: true },
      ],
    },
    OPERATOR,
    { path: "/:rest(.*)", component: NotFound },
  ],
});
