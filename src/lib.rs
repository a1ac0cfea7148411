//! A push endpoint for Alibaba Cloud MNS topics whose 201 is true.

pub mod mns;
