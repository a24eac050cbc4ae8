"use strict";
// The database: a copy in the memory of a worker, which every view asks with SQL.

const MOST = { rows: 100_000, size: 64 * 2 ** 20 }; // rows of an answer, and bytes of its values

let worker = null;
let opening = null; // the promise of an open database
let asked = 0;
const waiting = new Map(); // by number of the question
const scripts = new Map(); // promises by path

function loadScript(path) {
  if (!scripts.has(path)) {
    scripts.set(path, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = path;
      script.onload = resolve;
      script.onerror = () => {
        scripts.delete(path); // the next one tries again
        reject(new Error(`${path} could not be loaded`));
      };
      document.head.append(script);
    }));
  }
  return scripts.get(path);
}

function askWorker(message) {
  return new Promise((resolve, reject) => {
    asked += 1;
    waiting.set(asked, { resolve, reject });
    worker.postMessage({ ...message, id: asked });
  });
}

function hearWorker({ data: { id, error, broken, ...found } }) {
  const question = waiting.get(id);
  waiting.delete(id);
  if (broken) endWorker(error);
  if (error === undefined) question?.resolve(found);
  else question?.reject(new Error(error));
}

function endWorker(why) {
  worker?.terminate();
  worker = opening = null;
  for (const { reject } of waiting.values()) reject(new Error(why));
  waiting.clear();
}

async function startWorker() {
  await Promise.all([loadScript("sqljs.js"), window.lcmaDatabase ?? loadScript("database.js")]);
  const { sqljs, worker: own, wasm } = window.lcmaSqljs;
  const path = URL.createObjectURL(new Blob([sqljs, "\n", own], { type: "text/javascript" }));
  worker = new Worker(path);
  worker.onmessage = hearWorker;
  worker.onerror = (event) => {
    event.preventDefault();
    endWorker(event.message || "the database could not be opened");
  };
  try {
    await askWorker({ wasm, content: window.lcmaDatabase });
  } finally {
    URL.revokeObjectURL(path);
  }
}

function openDatabase() {
  opening ??= startWorker().catch((error) => {
    endWorker(error.message);
    throw error;
  });
  return opening;
}

// Answers with names of columns, rows as arrays, and whether these are all rows.
async function query(sql, values = [], most = MOST) {
  await openDatabase();
  return askWorker({ sql, values, ...most });
}

// Answers with rows as objects.
async function select(sql, values = []) {
  const { columns, rows } = await query(sql, values);
  return rows.map((row) => Object.fromEntries(columns.map((name, k) => [name, row[k]])));
}

async function readDatabaseFile() {
  if (!window.lcmaDatabase) await loadScript("database.js");
  const packed = Uint8Array.from(atob(window.lcmaDatabase), (one) => one.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
}

// Text as a literal of SQL, for the query that a reader is given.
const literal = (value) =>
  value === null ? "NULL" : typeof value === "number" ? String(value) : `'${String(value).replaceAll("'", "''")}'`;
const equals = (column, value) => `${column} ${value === null ? "IS NULL" : `= ${literal(value)}`}`;
