// What docs/clients.md shows, against an application at the address that is given. Prints JSON for the test.
import { client } from "./client/client.gen.js";
import { deleteNode, patchNode, postNodes, postTokens, type Node } from "./client/index.js";
import { allNodes, follow, publish, signIn, useToken } from "./page.js";

declare const process: { argv: string[] };

let cookie = "";
let beforeChange = async (): Promise<void> => {};

// As a browser does it: keeps the cookie.
client.setConfig({
  baseUrl: process.argv[2],
  fetch: async (input: RequestInfo | URL, options?: RequestInit): Promise<Response> => {
    const request = new Request(input, options);
    if (request.method === "PATCH") await beforeChange();
    if (cookie) request.headers.set("Cookie", cookie);
    const response = await fetch(request);
    const [sent] = response.headers.getSetCookie();
    if (sent) cookie = sent.split(";")[0] ?? "";
    return response;
  },
});

await signIn("ada", "correct horse battery", "acme");
const ids: string[] = [];
for (let number = 0; number < 120; number++) {
  const { data, error } = await postNodes({ body: { title: `Node ${number}` } });
  if (error) throw new Error(error.detail);
  ids.push(data.id);
}
const titles: string[] = [];
for await (const node of allNodes()) titles.push(node.title);

// Somebody else changes the node between reading and changing, once.
const [first] = ids;
if (!first) throw new Error("there is no node");
let conflicts = 0;
beforeChange = async () => {
  beforeChange = async () => {};
  conflicts++;
  await patchNode({ path: { id: first }, body: { title: "Changed meanwhile" } });
};
const node = await publish(first);

// A copy that follows the changes is what the list is.
const copy = new Map<string, Node>();
const cursor = await follow(copy);
for await (const each of allNodes()) copy.set(each.id, each);
await patchNode({ path: { id: ids[1]! }, body: { title: "Seen" } });
await deleteNode({ path: { id: ids[2]! } });
await follow(copy, cursor);
const now: Node[] = [];
for await (const each of allNodes()) now.push(each);
const followed = JSON.stringify([...copy.values()]) === JSON.stringify(now);

// As a program: with a token, without cookie and CSRF token.
const made = await postTokens({ body: { name: "program", permissions: ["content.read", "content.create"] } });
if (made.error) throw new Error(made.error.detail);
cookie = "";
client.setConfig({ headers: { "X-CSRF-Token": null, "X-Tenant": null } });
useToken(made.data.token);
const added = await postNodes({ body: { title: "By a program" } });
let last = "";
for await (const each of allNodes()) last = each.title;
console.log(
  JSON.stringify({ titles, conflicts, title: node.title, status: node.status, added: added.response?.status, last, followed }),
);
