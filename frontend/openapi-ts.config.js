// The types of the calls that the page makes by name. Resources are read from the document at run time.
export default {
  input: "./generated/openapi.json",
  output: { path: "generated/api", clean: true },
  plugins: ["@hey-api/typescript"],
};
