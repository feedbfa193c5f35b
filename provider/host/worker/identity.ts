/** What identity.py makes of a file. */

export { type Comparison, compareIdentities, type Identity, identity } from "../../core/disk/identity.js";
