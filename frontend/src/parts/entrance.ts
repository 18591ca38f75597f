// By what people sign in, prove who they are, or come in by a link, in one file: late.ts loads it.

export { default as LinkPage } from "../pages/links/LinkPage.vue";
export { default as Entering } from "./Entering.vue";
export { default as Impersonation } from "./Impersonation.vue";
export { default as NextStep } from "./NextStep.vue";
export { default as ProveAgain } from "./ProveAgain.vue";
export { default as SignIn } from "./SignIn.vue";
