// Send an image with a client's own default headers: node send.mjs fetch|undici|axios URL KEY FILE
import { readFileSync } from "node:fs";

import axios from "axios";
import { request } from "undici";

const [client, url, key, file] = process.argv.slice(2);
const body = readFileSync(file);
const headers = { "x-api-key": key };

const clients = {
  async fetch() {
    const response = await fetch(url, { method: "POST", body, headers });
    return { status: response.status, body: await response.text() };
  },
  async fetch_blob() {
    const response = await fetch(url, { method: "POST", body: new Blob([body], { type: "image/jpeg" }), headers });
    return { status: response.status, body: await response.text() };
  },
  async fetch_form() {
    const form = new FormData();
    form.append("file", new Blob([body]), "photo.jpg");
    const response = await fetch(url, { method: "POST", body: form, headers });
    return { status: response.status, body: await response.text() };
  },
  async fetch_string() {
    // A mistake: a string of bytes is sent as UTF-8.
    const response = await fetch(url, { method: "POST", body: body.toString("latin1"), headers });
    return { status: response.status, body: await response.text() };
  },
  async undici() {
    const response = await request(url, { method: "POST", body, headers });
    return { status: response.statusCode, body: await response.body.text() };
  },
  async axios() {
    const response = await axios.post(url, body, { headers, responseType: "text", validateStatus: () => true });
    return { status: response.status, body: response.data };
  },
};

console.log(JSON.stringify(await clients[client]()));
