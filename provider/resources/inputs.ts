/** What a program may write for a resource's arguments. */

import type * as pulumi from "@pulumi/pulumi";

/** A value, another resource's output, or an object or a list of which any part, at any depth, is one. */
type DeepInput<T> = pulumi.Input<Parts<T>>;

type Parts<T> = T extends readonly (infer Member)[] ? DeepInput<Member>[] : T extends object ? DeepInputs<T> : T;

/** Each key as it may be written, an optional one also as an output that has no value; with its comment, which editors show. */
export type DeepInputs<T> = { [Key in keyof T]: DeepInput<T[Key] | (Record<never, never> extends Pick<T, Key> ? undefined : never)> };
