-- Which requests were retries, by the same rule as the throttle's budget of them.

alter table helix.api_calls add column retry boolean not null default false;
