//! Reading other systems' files: the statutory SSDA903 return.
