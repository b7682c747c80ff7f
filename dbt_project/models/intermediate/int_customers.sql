-- One row per customer of the shop. Guests are nobody's customer.
select
    customer_id,
    registered_at

from {{ ref('stg_' ~ var('source') ~ '__customers') }}
