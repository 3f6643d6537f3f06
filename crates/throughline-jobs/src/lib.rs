//! Traces that go through queues and job tables.
