/** What a check-in says of this client: its name, and the version of this release. */
export const CLIENT = "page 0.2.0";
