"""Steps of recipes, one file each: pure functions on Arrow that declare what they read."""
