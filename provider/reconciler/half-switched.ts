import { UserError } from "../core/errors.js";

/** Some disks have switched, and some stay where they were. The switch is to be ended for all of its disks before this is told. */
export class HalfSwitched extends UserError {}
