-- One row per row of orders and their lines in an accepted file, whatever the source and whatever
-- it holds.
select
    table_name,
    file_id,
    line_number,
    order_id,
    sent_amount

from {{ ref('stg_' ~ var('source') ~ '__sent_rows') }}
