//! HTTP: partners' gateway, agencies' inbox, operations.
