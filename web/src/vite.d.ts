/** What Vite makes of an import with a query. */
declare module "*?url" {
  const url: string;
  export default url;
}
