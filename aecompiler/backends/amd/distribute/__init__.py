"""Values of whole tiles to registers of lanes: layouts, where each value is, and what moves it."""
