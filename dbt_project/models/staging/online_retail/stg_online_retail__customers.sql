-- One row per customer of an invoice. The shop sends no list of customers, so a registration is
-- not known.
select distinct
    customer_id,
    null::timestamptz as registered_at

from {{ ref('stg_online_retail__orders') }}

where customer_id is not null
