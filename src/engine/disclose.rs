//! What each agency may see: permitted fields only, refused by default.
