import { describeMoves } from "./variants.js";

describeMoves("background");
