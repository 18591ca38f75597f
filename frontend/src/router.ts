import { createRouter, createWebHistory } from "vue-router";

import Account from "./pages/Account.vue";
import NotFound from "./pages/NotFound.vue";
import ResourceList from "./pages/ResourceList.vue";
import WorkspaceFrame from "./pages/WorkspaceFrame.vue";
import WorkspaceStart from "./pages/WorkspaceStart.vue";
import Workspaces from "./pages/Workspaces.vue";
import { OPERATOR } from "./pages/operator/routes";

export const NEW = "new";

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: "/", name: "home", component: Workspaces },
    { path: "/account", name: "account", component: Account },
    {
      path: "/w/:slug",
      component: WorkspaceFrame,
      props: true,
      children: [
        { path: "", name: "workspace", component: WorkspaceStart },
        { path: "manage/members", name: "members", component: () => import("./pages/tenant/Members.vue") },
        { path: "manage/access", name: "access", component: () => import("./pages/tenant/ApiAccess.vue") },
        { path: "manage/export", name: "exports", component: () => import("./pages/tenant/Exports.vue") },
        { path: "manage/audit", name: "audit", component: () => import("./pages/tenant/AuditTrail.vue") },
        { path: ":resource/:id?", name: "rows", component: ResourceList, props: true },
      ],
    },
    OPERATOR,
    { path: "/:rest(.*)", component: NotFound },
  ],
});
