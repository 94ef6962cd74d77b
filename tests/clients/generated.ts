// Call every kind of operation by the generated types: node generated.js URL KEY FILE
import { readFileSync } from "node:fs";

import createClient from "openapi-fetch";

import type { components, paths } from "./loupe.js";

const [url, key, file] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl: url, headers: { "x-api-key": key } });
const bytes = readFileSync(file);
const image = bytes.toString("base64");

const byJson = await client.POST("/v1/classify", { body: { image, top: 1 }, params: { query: {} } });
if (byJson.error) throw new Error(byJson.error.detail);
const result: components["schemas"]["Result"] = byJson.data;

const byBytes = await client.POST("/v1/classify", {
  body: "",
  params: { query: { scores: "all" } },
  headers: { "Content-Type": "application/octet-stream" },
  bodySerializer: () => bytes,
});
if (byBytes.error) throw new Error(byBytes.error.detail);

const batch = await client.POST("/v1/classify/batch", { body: { items: [{ image }, { url: "https://localhost/a.jpg" }] } });
if (batch.error) throw new Error(batch.error.detail);
const outcomes = batch.data.results.map((item: components["schemas"]["BatchItem"]) =>
  "result" in item ? item.result.label : item.error.code,
);

const models = await client.GET("/v1/models");
if (models.error) throw new Error(models.error.detail);

const wrong = await client.POST("/v1/classify", { body: { url: "https://localhost/a.jpg" } });

console.log(
  JSON.stringify({
    label: result.label,
    scores: Object.keys(result.scores).length,
    all: Object.keys(byBytes.data.scores).length,
    outcomes,
    model: models.data.models[0]?.name,
    code: wrong.error?.code,
  }),
);
