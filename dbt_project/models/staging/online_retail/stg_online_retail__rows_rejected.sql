-- One row per line of an accepted file that counts nowhere, those that landing could not read too.
with

judged_lines as (

    select * from {{ ref('stg_online_retail__invoice_lines') }}
    where rejected_reason is not null

),

raw_lines as (

    select * from {{ source('raw', 'online_retail_invoice_lines') }}
    where _file_id in (select file_id from judged_lines)

),

unread_lines as (

    {{ unread_records('online_retail_invoice_lines') }}

)

select
    'invoice_lines' as table_name,
    judged_lines.file_id,
    judged_lines.line_number,
    nullif(judged_lines.order_id, '') as order_id,
    judged_lines.product_id,
    judged_lines.country,
    coalesce(
        {{ shop_date('judged_lines.ordered_at') }}, {{ estimated_date('raw_lines.invoice_date') }}
    ) as ordered_date,
    {{ estimated_amount('raw_lines.quantity', 'raw_lines.price') }} as sent_amount,
    judged_lines.rejected_reason,
    false as is_unread

from judged_lines

inner join raw_lines
    on
        judged_lines.file_id = raw_lines._file_id
        and judged_lines.line_number = raw_lines._line

union all

select
    'invoice_lines' as table_name,
    file_id,
    line_number,
    nullif(upper({{ as_id(unread_field('Invoice')) }}), '') as order_id,
    nullif(upper({{ as_id(unread_field('StockCode')) }}), '') as product_id,
    nullif({{ unread_field('Country') }}, '') as country,
    {{ estimated_date(unread_field('InvoiceDate')) }} as ordered_date,
    {{ estimated_amount(unread_field('Quantity'), unread_field('Price')) }} as sent_amount,
    rejected_reason,
    true as is_unread

from unread_lines
