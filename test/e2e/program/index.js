// Registers the one resource that the stack's config names: its kind, and all its arguments as one JSON value.
const pulumi = require("@pulumi/pulumi");
const livedisk = require("pulumi-livedisk");

const config = new pulumi.Config();
new livedisk[config.require("kind")]("web", config.requireObject("arguments"));
