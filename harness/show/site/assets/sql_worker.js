"use strict";
// Runs queries on a copy of the database in memory. The page ends this worker if a query takes too long.

let database;

function decode(text) {
  const decoded = atob(text);
  const bytes = new Uint8Array(decoded.length);
  for (let k = 0; k < decoded.length; k += 1) bytes[k] = decoded.charCodeAt(k);
  return bytes;
}

async function open({ wasm, content }) {
  const unzipped = new Blob([decode(content)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(unzipped).arrayBuffer());
  const SQL = await initSqlJs({ wasmBinary: decode(wasm), useOldExtensionFunctions: false });
  database = new SQL.Database(bytes);
  database.run("PRAGMA query_only = 1");
  return { opened: true };
}

// Integers that a double cannot hold exactly stay BigInt.
const exact = (value) =>
  typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;

function run({ sql, values, rows: maxRows, size: room }) {
  const statements = database.iterateStatements(sql);
  const { value: statement, done } = statements.next();
  if (done) throw new Error("there is no SQL statement to run");
  statement.bind(values);
  const columns = statement.getColumnNames();
  const rows = [];
  let whole = true;
  while (statement.step()) {
    if (rows.length === maxRows || room <= 0) {
      whole = false;
      break;
    }
    const row = statement.get(null, { useBigInt: true }).map(exact);
    for (const value of row) room -= value?.length ?? 8;
    rows.push(row);
  }
  if (!statements.next().done) throw new Error("give one statement at a time");
  return { columns, rows, whole };
}

onmessage = async ({ data }) => {
  const { id } = data;
  try {
    postMessage({ id, ...(await (data.wasm ? open(data) : run(data))) });
  } catch (error) {
    // An error of SQLite about a statement is a plain Error; these may have left SQLite broken.
    const broken = error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
    postMessage({ id, error: String(error?.message ?? error), broken });
  }
};
