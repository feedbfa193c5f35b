import { describeMoves } from "./variants.js";

describeMoves("write-blocking");
