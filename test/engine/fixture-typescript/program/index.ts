import * as pulumi from "@pulumi/pulumi";

interface Place {
  readonly path: string;
}

const place = { path: new pulumi.Config().require("path") } satisfies Place;

export const path: string = place.path;
