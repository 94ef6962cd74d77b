// Classify image files (Node 24): LOUPE_URL=https://.../live/ LOUPE_API_KEY=... node classify.mts photo.jpg ...
import { readFile } from "node:fs/promises";

interface Result { label: string; probability: number; scores: Record<string, number> }
interface Problem { code: string; detail: string }

const url = `${(process.env.LOUPE_URL ?? "").replace(/\/+$/, "")}/v1/classify`;
const headers = { "x-api-key": process.env.LOUPE_API_KEY ?? "" };

for (const name of process.argv.slice(2)) {
  const response = await fetch(url, { method: "POST", headers, body: await readFile(name) });
  if (!response.ok) {
    const problem = (await response.json()) as Problem;
    console.error(`${name}: ${problem.code}: ${problem.detail}`);
    process.exit(1);
  }
  const result = (await response.json()) as Result;
  console.log(`${name}: ${result.label} ${result.probability.toFixed(3)}`);
}
