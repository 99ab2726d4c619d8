//! Laws of the tdrm traits, generators and mocks, for testing implementations inside and outside of tdrm.
