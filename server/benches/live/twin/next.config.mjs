/** @type {import("next").NextConfig} */
export default {
  compress: false,
  serverExternalPackages: ["libsql"],
};
