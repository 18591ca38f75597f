export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Row = { id: string } & Record<string, Json>;
