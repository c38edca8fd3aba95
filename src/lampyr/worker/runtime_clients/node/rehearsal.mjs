// Loaded by park.cjs, as a function's module may be one of this kind.
export {};
