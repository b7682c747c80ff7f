-- One row per row of orders and order items of an accepted file, whatever it holds, with its money
-- as a person would read it. It reads none of the models that judge: builds are reconciled with it.
select
    'orders' as table_name,
    _file_id as file_id,
    _line as line_number,
    {{ as_id('order_id') }} as order_id,
    null::numeric as sent_amount

from {{ source('raw', 'canonical_orders') }}

where _file_id in (select file_id from {{ ref('stg_ops__landed_files') }} where is_accepted)

union all

select
    'order_items' as table_name,
    _file_id as file_id,
    _line as line_number,
    {{ as_id('order_id') }} as order_id,
    {{ estimated_amount('quantity', 'unit_price_amount') }} as sent_amount

from {{ source('raw', 'canonical_order_items') }}

where _file_id in (select file_id from {{ ref('stg_ops__landed_files') }} where is_accepted)
