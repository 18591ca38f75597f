// An identity provider for the tests: oidc-provider, which signs in whom `login_hint` describes, without asking.
// The packages are in another directory, whose path is the first argument. It prints its address once it listens.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const packages = createRequire(`${process.argv[2]}/`);
const { default: Provider } = await import(pathToFileURL(packages.resolve("oidc-provider")).href);

const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const people = new Map();

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "tenantapp",
      client_secret: "a secret: with odd/+&% characters",
      redirect_uris: ["http://localhost/sso/callback"],
      post_logout_redirect_uris: ["http://localhost/"],
    },
  ],
  claims: { openid: ["sub", "amr"], profile: ["name", "groups"], email: ["email", "email_verified"] },
  cookies: { keys: ["of the tests"] },
  features: { devInteractions: { enabled: false } },
  findAccount: (_, id) => ({ accountId: id, claims: () => people.get(id) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  async loadExistingGrant({ oidc }) {
    const grant = new provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope("openid profile email");
    await grant.save();
    return grant;
  },
  pkce: { required: () => true },
});

const answer = provider.callback();
server.on("request", async (request, response) => {
  if (!request.url.startsWith("/interaction/")) {
    answer(request, response);
    return;
  }
  const { params } = await provider.interactionDetails(request, response);
  const person = JSON.parse(params.login_hint);
  people.set(person.sub, person);
  await provider.interactionFinished(request, response, { login: { accountId: person.sub, amr: person.amr } });
});
console.log(issuer);
