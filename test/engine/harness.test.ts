import { engineBehaviour } from "./behaviour.js";

engineBehaviour("harness");
