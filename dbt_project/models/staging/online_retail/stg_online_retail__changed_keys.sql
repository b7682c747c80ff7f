-- One row per changed file and order, product or customer that stands in it. Read from raw, which
-- keeps the rows of refused files too: what vanished is touched as well.
with

changed_files as (

    select * from {{ ref('stg_ops__landed_files') }}
    where is_changed

),

lines as (

    select
        _file_id as file_id,
        {{ online_retail_keys() }}

    from {{ source('raw', 'online_retail_invoice_lines') }}

    where _file_id in (select file_id from changed_files)

),

keys as (

    select
        file_id,
        order_id,
        product_id,
        customer_id

    from lines

    group by file_id, grouping sets ((order_id), (product_id), (customer_id))

)

select * from keys
where coalesce(order_id, product_id, customer_id) is not null
