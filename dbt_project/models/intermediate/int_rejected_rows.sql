-- One row per row of an accepted file that counts nowhere, whatever the source: what is in raw and
-- not here is in the marts.
select
    table_name,
    file_id,
    line_number,
    order_id,
    product_id,
    country,
    ordered_date,
    sent_amount,
    rejected_reason,
    is_unread

from {{ ref('stg_' ~ var('source') ~ '__rows_rejected') }}
