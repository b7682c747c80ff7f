-- One row per line of an accepted file, good or not: rejected_reason tells. Lines of one landing
-- add up to an invoice; a later landing of the invoice that has a readable line replaces it whole.
-- A changed order is judged again as a whole, because lines in one file count once those in another
-- file are refused. Long, because it has a line a form of the shop's and a reason.
{%- set sent = [
    'invoice', 'stock_code', 'description', 'quantity', 'invoice_date', 'price', 'customer_id',
    'country'
] %}
{%- set columns = [
    'file_id', 'line_number', 'order_id', 'product_id', 'customer_id', 'content_key',
    'product_name', 'country', 'quantity', 'unit_price_amount', 'ordered_at', 'order_type',
    'line_type', 'line_amount', 'row_fault'
] %}
with

cast_lines as (

    select
        -- ids
        _file_id as file_id,
        _line as line_number,
        {{ online_retail_keys() }},
        {{ content_key(sent) }} as content_key,

        -- text
        {{ as_text('description') }} as product_name,
        case trim(country)
            when 'EIRE' then 'Ireland'
            when 'RSA' then 'South Africa'
            when 'USA' then 'United States'
            when 'Unspecified' then null
            else {{ as_text('country') }}
        end as country,

        -- numerics
        {{ as_number('quantity') }} as quantity,
        {{ as_number('price') }} as unit_price_amount,

        -- timestamps
        {{ as_order_time('invoice_date') }} as ordered_at

    from ({{ raw_rows_of_build('online_retail_invoice_lines') }}) as raw_lines {{ made_once() }}

),

typed_lines as (

    select
        *,
        case left(order_id, 1)
            when 'C' then 'refund'
            when 'A' then 'adjustment'
            else 'sale'
        end as order_type,
        -- a product's code starts with five digits; the rest is postage, fees, vouchers, bad debt
        case
            when product_id ~ '^\d{5}' and order_id not like 'A%' then 'product'
            else 'charge'
        end as line_type,
        quantity * unit_price_amount as line_amount,
        case
            when order_id = '' then 'no invoice number'
            when order_id !~ '^[CA]?[0-9]{1,20}$' then 'invoice number of unknown form'
            when product_id is null then 'no stock code'
            when {{ is_too_long('product_id') }} or {{ is_too_long('customer_id') }}
                then 'an id is longer than 200 characters'
            when quantity is null then 'quantity is no number'
            when unit_price_amount is null then 'price is no number'
            when ordered_at is null
                then 'invoice date is no date and time from 1990 to its landing'
            when abs(quantity) >= 1000000000 then 'quantity of a billion or more'
            when
                {{ is_absurd('unit_price_amount') }}
                or {{ is_absurd('quantity * unit_price_amount') }}
                then 'amount of 10 billion or more'
        end as row_fault

    from cast_lines {{ made_once() }}

),

candidates as (

    {{ with_unchanged_rows('typed_lines', columns, 'order_id') }}

),

landed_lines as (

    select
        candidates.*,
        landed_files.landing_id,
        case when candidates.row_fault is null then landed_files.batch_id end as readable_batch_id

    from candidates

    inner join {{ ref('stg_ops__landed_files') }} as landed_files
        on candidates.file_id = landed_files.file_id

),

landings as (

    -- parts of a file that grew are one landing, as new as the newest part with the invoice
    select
        *,
        max(readable_batch_id) over (partition by order_id, landing_id) as landing_batch_id,
        max(readable_batch_id) over (partition by order_id) as newest_batch_id

    from landed_lines

),

numbered_lines as (

    select
        *,
        coalesce(landing_batch_id < newest_batch_id, false) as is_replaced,
        row_number() over (
            partition by order_id, content_key
            order by
                coalesce(landing_batch_id < newest_batch_id, false), file_id, line_number
        ) as copy_number

    from landings

)

select
    {{ columns | join(', ') }},
    case
        when copy_number > 1 then 'exact duplicate'
        when row_fault is not null then row_fault
        when is_replaced then 'replaced by a later landing of the same invoice'
        when product_id like 'TEST%' then 'test line'
        when quantity = 0 then 'quantity is zero'
        when unit_price_amount = 0 and quantity < 0 then 'price is zero: stock written off'
        when unit_price_amount = 0 then 'price is zero: nothing was sold'
        when line_type = 'charge' then null
        when unit_price_amount < 0 then 'negative price of a product'
        when order_type = 'sale' and quantity < 0 then 'negative quantity in a sale'
        when order_type = 'refund' and quantity > 0 then 'positive quantity in a cancellation'
    end as rejected_reason

from numbered_lines
