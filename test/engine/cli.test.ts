import { stackBehaviour } from "./behaviour.js";
import { optionsBehaviour } from "./behaviour-of-options.js";

stackBehaviour("cli");
optionsBehaviour("cli");
