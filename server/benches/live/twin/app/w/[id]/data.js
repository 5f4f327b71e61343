// What the page shows, from the database of the product.
import { createHash } from "node:crypto";
import Database from "libsql";

const COUNTS = `COUNT(d.id) AS documents,
  COUNT(CASE WHEN d.status = 'ready' THEN 1 END) AS ready,
  COUNT(CASE WHEN d.status IN ('pending', 'processing') THEN 1 END) AS processing,
  COUNT(CASE WHEN d.status = 'failed' THEN 1 END) AS failed,
  COALESCE(SUM(d.chunk_count), 0) AS chunks, COALESCE(SUM(d.size_bytes), 0) AS bytes
  FROM workspaces w LEFT JOIN documents d ON d.workspace_id = w.id`;

let prepared;

/** Opened with the first request: a build has no database. */
function statements() {
  if (!prepared) {
    const database = new Database(process.env.TWIN_DATABASE);
    prepared = {
      person: database.prepare(
        `SELECT u.id, u.username FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE s.token_hash = ? AND s.expires_at > ?`,
      ),
      workspaces: database.prepare(
        `SELECT w.id, w.name, w.status, ${COUNTS} WHERE w.user_id = ? GROUP BY w.id ORDER BY w.created_at DESC`,
      ),
      workspace: database.prepare(
        `SELECT w.id, w.name, w.description, w.status, ${COUNTS} WHERE w.id = ? AND w.user_id = ? GROUP BY w.id`,
      ),
      documents: database.prepare(
        `SELECT id, filename, mime_type, size_bytes, status, error, message, progress, chunk_count, created_at
         FROM documents WHERE workspace_id = ? ORDER BY created_at DESC, id DESC LIMIT 50`,
      ),
    };
  }
  return prepared;
}

/** The person of a session, by the hash of its token. */
export function personOf(token) {
  const hash = createHash("sha256").update(token).digest("hex");
  return statements().person.get(hash, Date.now() * 1000);
}

export function workspacePage(person, id) {
  const { workspaces, workspace, documents } = statements();
  return { workspaces: workspaces.all(person), workspace: workspace.get(id, person), documents: documents.all(id) };
}
