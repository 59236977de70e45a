/** What a check-in says of this client; the same as the Python device of this release. */
export const CLIENT_VERSION = "0.2.0";
