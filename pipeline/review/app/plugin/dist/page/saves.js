// Every save of Annotate mode says which boxes the page has, in its order: the server turns the
// positions in a save into label ids by it, and refuses a save without it.

import { builtIn, inPage, notify, python, refresh } from "./fiftyone.js";

const SAVE = /\/dataset\/[0-9a-f]{24}\/sample\/([0-9a-f]{24})$/;
const byToken = new Map(); // version token -> label ids, from the reply that brought it

export const status = { unsaved: false, saving: 0, refused: "" };
const listeners = new Set();
export const onSave = (listener) => listeners.add(listener);
const tell = (event) => listeners.forEach((listener) => listener(event));

const idsOf = (sample) =>
  ((sample.boxes || {}).detections || []).map((label) => {
    const id = label._id || label.id;
    return typeof id === "string" ? id : id.$oid;
  });

function pageIds(sampleId) {
  return inPage(async (ctx) => {
    const { sample } = await ctx.state.snapshot.getPromise(window.__fos__.modalSample);
    return (sample._id || sample.id) === sampleId ? idsOf(sample) : null;
  });
}

function tokenOf(headers, name) {
  const value = headers instanceof Headers ? headers.get(name) : (headers || {})[name];
  return (value || "").replaceAll('"', "");
}

export function wrapFetch() {
  const plain = window.fetch.bind(window);
  window.fetch = async function (input, init) {
    const url = String((input && input.url) || input).split("?")[0];
    const found = init && init.method === "PATCH" && SAVE.exec(url);
    if (!found) return plain(input, init);
    const sampleId = found[1];
    const ids = byToken.get(tokenOf(init.headers, "If-Match")) || (await pageIds(sampleId));
    const headers = new Headers(init.headers);
    if (ids) headers.set("X-Glipforge-Labels", ids.join(","));
    status.saving += 1;
    status.unsaved = false;
    tell({ kind: "saving" });
    try {
      const reply = await plain(input, { ...init, headers });
      await after(sampleId, reply.clone());
      return reply;
    } catch (error) {
      status.unsaved = true;
      tell({ kind: "failed", sentence: String(error) });
      throw error;
    } finally {
      status.saving -= 1;
      tell({ kind: "settled" });
    }
  };
}

async function after(sampleId, reply) {
  if (!reply.ok) {
    const body = await reply.json().catch(() => ({}));
    status.refused = body.glipforge || `the save was answered by ${reply.status}`;
    notify(`Not saved: ${status.refused}`, "error");
    tell({ kind: "refused", sentence: status.refused });
    return;
  }
  status.refused = "";
  const sample = await reply.json();
  byToken.set(tokenOf(reply.headers, "ETag"), idsOf(sample));
  const drawn = (reply.headers.get("X-Glipforge-Drawn") || "").split(",").filter(Boolean);
  if (drawn.length) tell({ kind: "drawn", sampleId, labelId: drawn[drawn.length - 1] });
  if (reply.headers.get("X-Glipforge-Merged") === "1")
    // After FiftyOne has taken the reply: then bring what others did meanwhile.
    setTimeout(() => reload(sampleId), 300);
  tell({ kind: "saved", sampleId });
}

export async function reload(sampleId) {
  const stored = await python("read_sample", { sample_id: sampleId });
  if (stored.labels) await refresh(sampleId, stored, stored.last_modified_at);
  builtIn("reload_samples");
}
