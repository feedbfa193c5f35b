// Registers the resources that the stack's config lists: [{ kind, name, args, options?, aliases?, provider?, get? }].
const pulumi = require("@pulumi/pulumi");
const livedisk = require("pulumi-livedisk");

/** Puts out what is put in, so that it is not known before the update. */
class Echo extends pulumi.dynamic.Resource {
  constructor(name, { value }) {
    const put = async (inputs) => ({ id: "echo", outs: { ...inputs, said: inputs.value } });
    super({ create: put, update: (_id, _olds, news) => put(news) }, name, { value, said: undefined });
  }
}

const config = new pulumi.Config();
const made = {};
for (const { kind, name, args, options = {}, provider, get } of config.requireObject("resources")) {
  const Kind = kind === "Echo" ? Echo : livedisk[kind];
  const all = { ...options, ...(provider && { provider: made[provider] }) };
  made[name] = get ? Kind.get(name, get, resolved(args), all) : new Kind(name, resolved(args), all);
}

// "=host.said" is what the resource `host` puts out as `said`, "!key" the secret of that name
function resolved(value) {
  if (Array.isArray(value)) return value.map(resolved);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, resolved(member)]));
  }
  const [, sign, name, output] = /^([=!])(\w+)\.?(\w*)$/.exec(value) ?? [];
  if (sign === "!") return config.requireSecret(name);
  return sign === "=" ? made[name][output] : value;
}

exports.made = Object.fromEntries(Object.entries(made).map(([name, { bootPath }]) => [name, bootPath]));
