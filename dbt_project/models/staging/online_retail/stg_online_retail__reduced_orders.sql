-- One row per invoice that a later landing left with less money: its lines, each once, of the
-- landing of most money among those that were replaced, less the money of the one that counts.
with

replaced_orders as (

    select distinct order_id
    from {{ ref('stg_online_retail__rows_rejected') }}
    where rejected_reason like 'replaced by%'

),

lines as (

    -- equal lines of one landing are one line
    select
        invoice_lines.order_id,
        landed_files.landing_id,
        invoice_lines.content_key,
        max(abs(invoice_lines.line_amount)) as amount,
        max(landed_files.batch_id) as batch_id

    from {{ ref('stg_online_retail__invoice_lines') }} as invoice_lines

    inner join {{ ref('stg_ops__landed_files') }} as landed_files
        on invoice_lines.file_id = landed_files.file_id

    where
        invoice_lines.row_fault is null
        and invoice_lines.order_id in (select order_id from replaced_orders)

    group by invoice_lines.order_id, landed_files.landing_id, invoice_lines.content_key

),

landings as (

    -- the landing whose last readable line came last is the one that counts
    select
        order_id,
        sum(amount) as amount,
        max(batch_id) = max(max(batch_id)) over (partition by order_id) as is_newest

    from lines

    group by order_id, landing_id

),

orders as (

    select
        order_id,
        coalesce(max(amount) filter (where not is_newest), 0)
        - sum(amount) filter (where is_newest) as reduced_amount

    from landings

    group by order_id

)

select
    order_id,
    reduced_amount

from orders

where reduced_amount > 0
